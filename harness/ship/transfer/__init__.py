"""Transfer images to hosts: an unpacked cache on the controller, and a stream of the layers that a host lacks."""
