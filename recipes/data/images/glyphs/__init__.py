"""Characters drawn from the fonts that come with matplotlib."""
