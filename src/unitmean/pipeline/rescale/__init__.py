"""From the table of statistics to the table of factors."""
