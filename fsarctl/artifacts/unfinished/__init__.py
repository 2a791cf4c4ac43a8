"""Work that was begun and is not an artifact yet: what of it is done, sealed so that damage shows."""
