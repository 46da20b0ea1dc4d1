"""`model=none`: selection and preprocessing statistics alone, from image sizes, without torch."""
