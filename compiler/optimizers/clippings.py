"""Clipping of gradients that are too large; one class per method."""

from collections.abc import Mapping
from typing import Any

import optax

from compiler.plan.stacks import SECTIONS
from fgspec.spec import clippings

Transformations = list[optax.GradientTransformation]


class ValuesClipping(clippings.ValuesClipping):
    """Clipping of every number."""

    def transformations(self) -> Transformations:
        """One transformation, that clips each number to plus or minus the limit."""
        return [optax.clip(self.limit)]


class BlockNormClipping(clippings.BlockNormClipping):
    """Clipping by the norm of each block's gradient."""

    def transformations(self) -> Transformations:
        """One transformation, that clips each block, each head and the classifier by itself."""
        clip = optax.clip_by_global_norm(self.limit)

        def clipped(grads_of_section: Any) -> Any:
            return clip.update(grads_of_section, clip.init(grads_of_section))[0]

        def update(updates: Any, params: Any) -> Mapping[str, Any]:
            return {
                section: {name: clipped(grads) for name, grads in grads_of_section.items()}
                if section in SECTIONS
                else clipped(grads_of_section)
                for section, grads_of_section in updates.items()
            }

        return [optax.stateless(update)]


class GlobalNormClipping(clippings.GlobalNormClipping):
    """Clipping by the norm of the whole gradient."""

    def transformations(self) -> Transformations:
        """One transformation, that clips all gradients together."""
        return [optax.clip_by_global_norm(self.limit)]
