"""Steps of a post on its way, one verb a file: a batch in, a batch out; no threads, no sockets."""
