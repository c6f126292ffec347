"""Deployments: plain classes that hold a generator, batch what is asked for together, and say why they are not ready."""

from serve.deployments.bank_owner import BankOwner
from serve.deployments.faces import Faces
from serve.deployments.hybrids import Hybrids
from serve.deployments.likeness import Likeness
from serve.deployments.pictures import Pictures

__all__ = ["BankOwner", "Faces", "Hybrids", "Likeness", "Pictures"]
