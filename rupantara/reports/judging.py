"""What a report says of the networks that judge, by whether they were there."""


def heads_text(heads: bool) -> str:
    """Say whether the perceptual distance is weighted by LPIPS's learnt heads."""
    return "with the heads of LPIPS v0.1" if heads else "without learnt heads"


def lpips_text(heads: bool) -> str:
    """Say what stands in for LPIPS."""
    return f"LPIPS* is its formula on Caffe's SqueezeNet v1.1 {heads_text(heads)}, not the published LPIPS."


def identity_text(measured: bool, told: str) -> str:
    """Return what is told of the cosines of identity, or that they were not measured."""
    return told if measured else "Identity was not measured: that needs MobileFaceNet in --weights."
