"""Methods under test, baselines and the networks that judge them."""
