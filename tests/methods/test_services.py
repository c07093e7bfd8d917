"""What a task offers besides the model."""

import pytest
from helpers.methods import Studio, make_task

from evenhand.bench.errors import EvenhandError


@pytest.mark.parametrize("service", ["encoder", "person_masks"])
def test_a_task_without_further_networks_names_the_one_that_is_asked_for(service):
    task = make_task(Studio({}))
    with pytest.raises(EvenhandError, match="network 'some/model' is not available in this task"):
        getattr(task, service)("some/model")
