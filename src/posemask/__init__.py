"""posemask finds people in pictures and video: where the body is, which pixels are the person, which part each is."""
