"""Nights: is the choice in force still the one to use? Asked every night, cheaply where nothing has changed."""
