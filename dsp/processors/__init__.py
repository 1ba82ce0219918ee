"""The effects, one family a module; ``dsp.registry`` lists them."""
