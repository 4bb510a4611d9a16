import pytest


@pytest.fixture(autouse=True)
def threads_as_before():
    """What a test's command set for its own process must not change the bits of the next test's sums."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny():
    """A model of all modalities with random weights; a test that changes it makes its own."""
    import allspark

    return allspark.build("allspark-tiny")


@pytest.fixture(scope="session")
def tiny_folder(tiny, tmp_path_factory):
    """The same model as a folder on disk."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.save(folder)
    return folder


@pytest.fixture(scope="session")
def base():
    """The weights that ship."""
    import allspark

    return allspark.load("allspark-base")
