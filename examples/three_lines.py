"""Normalise a network of your own: what the library is, without the pipeline.

python examples/three_lines.py
"""

import torch
from torch import nn

import unitmean

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 12 * 12, 10)
).eval()
images = [torch.rand(8, 3, 16, 16) for _ in range(8)]

result = unitmean.normalise(model, images)
proof = unitmean.verify(model, result.state, images, result)
if not proof:
    raise SystemExit("\n".join(proof.failures))
before = unitmean.measure(model, images, result.plan)
model.load_state_dict(result.state)
after = unitmean.measure(model, images, result.plan)

for site, moments in after.items():
    live = [c for c in range(8) if c not in result.dead.get(site, [])]
    was, now = before[site].expectation()[live], moments.expectation()[live]
    print(f"rectifier {site}: channel means {was.min():.3f} to {was.max():.3f} before")
    print(f"rectifier {site}: channel means {now.min():.5f} to {now.max():.5f} after")
    if (now - 1).abs().max() > 1e-4:
        raise SystemExit(f"the means of rectifier {site} must be one; found {now.tolist()}")
print(f"the output changed by {proof.deviations['output'].float32:.1e}, relatively, in float32")
