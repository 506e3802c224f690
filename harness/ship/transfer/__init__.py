"""How an image gets to a host: an unpacked cache on the controller, and a stream of what the host lacks."""
