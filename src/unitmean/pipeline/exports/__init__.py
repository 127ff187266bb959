"""Files for other programs, and the card that describes them."""
