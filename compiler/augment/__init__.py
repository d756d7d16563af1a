"""Augmentation: random changes of training images, computed on the device."""
