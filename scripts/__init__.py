"""Programs for those who work on Torana; none of them is part of the package."""
