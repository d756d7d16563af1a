"""Random changes of training images, on the device, addressed by name, step and example."""
