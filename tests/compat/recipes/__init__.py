"""The recipes of docs/mock-recipes.md, as a reader would run them."""
