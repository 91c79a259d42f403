from observability.catalogue import METRICS, PROCESS_METRICS
from observability.reference import metrics_reference


def test_every_metric_has_a_section_with_its_labels_and_their_values() -> None:
    text = metrics_reference()
    sections = {part.partition("\n")[0]: part for part in text.split("\n### ")[1:]}
    assert list(sections) == [metric.full_name for metric in METRICS]
    for metric in METRICS:
        section = sections[metric.full_name]
        assert metric.help in section
        assert f"- {metric.kind.value}" in section
        for label, values in metric.labels.items():
            assert f"- `{label}`: " in section
            assert all(f"`{value}`" in section for value in values if value)
    assert all(f"- `{name}`" in text for name in PROCESS_METRICS)
