"""Files in the layouts that other programs load, and the card that goes with them."""
