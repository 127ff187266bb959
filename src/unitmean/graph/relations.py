"""How each ATen operator relates the factors of its inputs and outputs.

A relation asks for some of an operator's arguments. The others must have their default values, unless the
table names them in parentheses: those may have any value, and tensors among them keep the factor one. For an
operator that the table doesn't list, or that is called in a way its relation doesn't cover, all inputs and
outputs keep the factor one, so that what is unknown costs normalisation and never correctness. Operators that
only move numbers need no row: `rearrange` recognises them by their schemas.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from unitmean.graph.call import Call
from unitmean.graph.indexed import joined_there, picked, replaced, selected
from unitmean.graph.linear import (
    attended,
    batch_norm,
    einsum,
    embedded,
    multiplied_matrices,
    normalised,
    weighted,
)
from unitmean.graph.pointwise import (
    bounded,
    chosen,
    compared,
    converted,
    copied,
    divided,
    finite,
    gate,
    masked,
    met,
    multiplied,
    same,
    signed,
    thresholded,
    unchanged,
)
from unitmean.graph.positions import (
    along,
    extreme,
    folded,
    joined,
    moved,
    normed,
    ordered,
    padded,
    pooled,
    sampled,
    scattered,
)
from unitmean.graph.rearrange import rearranges
from unitmean.graph.recurrent import recurrent


class Relation(NamedTuple):
    """`of` returns the ids of a call's results, None for a call that it doesn't cover.

    The arguments named in `harmless` may have any value.
    """

    of: Callable[[Call], Any]
    harmless: frozenset[str] = frozenset()


def relation(call: Call) -> Relation | None:
    """The operator's row of the table; None for an unknown one."""
    listed = RELATIONS.get(call.name)
    return listed or (Relation(moved) if rearranges(call.node) else None)


def _table(*rows: tuple[Callable[[Call], Any], str]) -> dict[str, Relation]:
    return {
        name: Relation(of, frozenset(harmless.split()))
        for of, operators in rows
        for name, harmless in re.findall(r"(\w+)(?:\(([^)]*)\))?", operators)
    }


RELATIONS: dict[str, Relation] = _table(
    (
        weighted,
        """linear conv1d(stride padding dilation) conv2d(stride padding dilation)
        conv3d(stride padding dilation) conv_transpose1d(stride padding output_padding dilation)
        conv_transpose2d(stride padding output_padding dilation)
        conv_transpose3d(stride padding output_padding dilation)""",
    ),
    (multiplied_matrices, "matmul mm bmm mv"),
    (einsum, "einsum(path)"),
    (attended, "scaled_dot_product_attention(dropout_p is_causal scale enable_gqa)"),
    (embedded, "embedding(indices padding_idx scale_grad_by_freq sparse)"),
    (
        batch_norm,
        """batch_norm(running_var momentum eps cudnn_enabled)
        instance_norm(running_var momentum eps cudnn_enabled)
        _native_batch_norm_legit_no_training(running_var momentum eps)""",
    ),
    (normalised, "layer_norm(normalized_shape eps cudnn_enable) rms_norm(normalized_shape eps)"),
    (normalised, "group_norm(num_groups eps cudnn_enabled) native_layer_norm(normalized_shape eps)"),
    (normalised, "native_group_norm(N C HxW group eps)"),
    (same, "relu leaky_relu(negative_slope) prelu(weight) rrelu(lower upper training generator)"),
    (same, "neg negative abs absolute dropout(p train) feature_dropout(p train)"),
    (same, "detach_ alias positive lift_fresh lift_fresh_copy detach clone(memory_format)"),
    (same, "contiguous(memory_format)"),
    (converted, "type_as to(dtype device layout pin_memory non_blocking copy memory_format)"),
    (same, "_to_copy(dtype device layout pin_memory non_blocking memory_format)"),
    (same, "_autocast_to_reduced_precision(cuda_enabled cpu_enabled cuda_dtype cpu_dtype)"),
    (same, "_autocast_to_full_precision(cuda_enabled cpu_enabled)"),
    (unchanged, "alpha_dropout(p) feature_alpha_dropout(p)"),
    (copied, "copy(non_blocking)"),
    (bounded, "clamp clamp_min clamp_max clip hardtanh"),
    (thresholded, "threshold"),
    (finite, "nan_to_num"),
    (met, "add(alpha) sub(alpha) subtract(alpha) rsub(alpha) maximum minimum fmax fmin"),
    (multiplied, "mul multiply"),
    (divided, "div divide true_divide"),
    (compared, "gt ge lt le eq ne greater greater_equal less less_equal not_equal"),
    (signed, "sign sgn signbit isnan isinf isfinite isposinf isneginf"),
    (chosen, "where"),
    (masked, "masked_fill(mask) index_fill(dim index)"),
    (gate, "sigmoid hardsigmoid tanh softplus(beta threshold) exp softmax(dim dtype) log_softmax(dim dtype)"),
    (gate, "_softmax(dim half_to_float) _log_softmax(dim half_to_float)"),
    (
        pooled,
        """max_pool1d(kernel_size stride padding dilation ceil_mode)
        max_pool2d(kernel_size stride padding dilation ceil_mode)
        max_pool3d(kernel_size stride padding dilation ceil_mode)
        max_pool1d_with_indices(kernel_size stride padding dilation ceil_mode)
        max_pool2d_with_indices(kernel_size stride padding dilation ceil_mode)
        max_pool3d_with_indices(kernel_size stride padding dilation ceil_mode)
        avg_pool1d(kernel_size stride padding ceil_mode count_include_pad)
        avg_pool2d(kernel_size stride padding ceil_mode count_include_pad divisor_override)
        avg_pool3d(kernel_size stride padding ceil_mode count_include_pad divisor_override)
        adaptive_avg_pool1d(output_size) adaptive_avg_pool2d(output_size) adaptive_avg_pool3d(output_size)
        adaptive_max_pool1d(output_size) adaptive_max_pool2d(output_size) adaptive_max_pool3d(output_size)
        max_unpool2d(indices output_size) max_unpool3d(indices output_size stride padding)""",
    ),
    (
        pooled,
        """upsample_nearest1d(output_size scales scale_factors)
        upsample_nearest2d(output_size scales_h scales_w scale_factors)
        upsample_nearest3d(output_size scales_d scales_h scales_w scale_factors)
        _upsample_nearest_exact1d(output_size scales scale_factors)
        _upsample_nearest_exact2d(output_size scales_h scales_w scale_factors)
        _upsample_nearest_exact3d(output_size scales_d scales_h scales_w scale_factors)
        upsample_linear1d(output_size align_corners scales scale_factors)
        upsample_bilinear2d(output_size align_corners scales_h scales_w scale_factors)
        upsample_trilinear3d(output_size align_corners scales_d scales_h scales_w scale_factors)
        upsample_bicubic2d(output_size align_corners scales_h scales_w scale_factors)
        _upsample_bilinear2d_aa(output_size align_corners scales_h scales_w scale_factors)
        _upsample_bicubic2d_aa(output_size align_corners scales_h scales_w scale_factors)""",
    ),
    (sampled, "grid_sampler(interpolation_mode padding_mode align_corners)"),
    (
        along,
        "mean(dtype) sum(dtype) nansum(dtype) amax amin median nanmedian mode cumsum(dtype) cummax cummin",
    ),
    (along, "std(correction unbiased) sort(stable descending) topk(k largest sorted) kthvalue(k)"),
    (normed, "linalg_vector_norm(dtype)"),
    (extreme, "max min"),
    (ordered, "argmax argmin argsort(descending stable)"),
    (folded, "col2im(output_size dilation padding stride)"),
    (padded, "pad constant_pad_nd"),
    (joined, "cat concat concatenate"),
    (picked, "index _unsafe_index"),
    (selected, "index_select(index) gather(index sparse_grad) take_along_dim(indices)"),
    (joined_there, "index_add(index alpha) index_copy(index) index_reduce(index include_self)"),
    (joined_there, "scatter_add(index) scatter(index) scatter_reduce(index include_self)"),
    (replaced, "index_put(indices accumulate) _unsafe_index_put(indices accumulate)"),
    (recurrent, "lstm(has_biases dropout train batch_first) gru(has_biases dropout train batch_first)"),
    (recurrent, "rnn_tanh(has_biases dropout train batch_first)"),
    (scattered, "slice_scatter select_scatter diagonal_scatter"),
)
