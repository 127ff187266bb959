"""From the synsets in an index to a network's classes."""

from unitmean.disk.index import Index


def classes(index: Index, count: int) -> dict[str, int] | None:
    """The class of every synset: its rank among the index's, if these are as many as the network's classes.

    That is how ImageNet numbers its classes and torchvision's ImageFolder any folder's; with fewer synsets
    in the index their numbers can't be told, and with none there are no labels: None.
    """
    found = {row.label for row in index.rows}
    if None in found or len(found) != count:
        return None
    return {label: i for i, label in enumerate(sorted(label for label in found if label is not None))}
