"""How services want to be asked, and in which shape they answer."""
