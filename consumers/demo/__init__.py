"""The demo: the real consumers on an embedded broker and Redis, a simulated stream, a simulated moderator, a view."""
