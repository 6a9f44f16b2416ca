"""The messages on the wire, one file each. JSON for people and other systems, msgpack for the cell log."""
