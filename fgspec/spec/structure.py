"""What a whole spec says of how the examples of a batch are coupled."""

from fgspec.spec.architectures import Architecture
from fgspec.spec.coupling import Coupling
from fgspec.spec.losses import Losses


def coupling(architecture: Architecture, losses: Losses) -> Coupling | None:
    """What couples the examples of a batch, if anything does: the network or the objective."""
    return architecture.coupling() or losses.coupling()
