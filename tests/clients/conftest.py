"""Each check runs once for each dialect of the upstream."""

import pytest
from scene import DIALECTS, SCENE


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


@pytest.fixture
def base_url(dialect):
    return SCENE[dialect]
