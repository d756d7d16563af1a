"""What becomes of gradients that are too large, one class a clipping."""

from collections.abc import Mapping
from typing import Any

import optax

from compiler.plan.stacks import SECTIONS
from fgspec.spec import clippings

Transformations = list[optax.GradientTransformation]


class ValuesClipping(clippings.ValuesClipping):
    """The section with what it computes."""

    def transformations(self) -> Transformations:
        """Each number by itself."""
        return [optax.clip(self.limit)]


class BlockNormClipping(clippings.BlockNormClipping):
    """The section with what it computes."""

    def transformations(self) -> Transformations:
        """Each block, each head and the classifier by itself."""
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
    """The section with what it computes."""

    def transformations(self) -> Transformations:
        """All of it."""
        return [optax.clip_by_global_norm(self.limit)]
