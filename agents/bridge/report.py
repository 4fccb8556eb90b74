"""What a bridge says of itself: the lines of a dry run, its metrics, and why it is not ready. Text only."""

from collections.abc import Iterator, Sequence

from agents.bridge.mirror import Mirror
from agents.bridge.rules.intentions import IntentionPlan, PutIntention
from agents.bridge.rules.reconcile import Action, Plan, Register, RemoveCheck, RemoveInstance


def lines_of(plan: Plan, intentions: IntentionPlan) -> Iterator[str]:
    """What one pass does, a line each; what is left alone and what is not removed yet, too."""
    for action in plan.actions:
        yield _line(action)
    for one in intentions.actions:
        if isinstance(one, PutIntention):
            yield f"write intention {one.row.source} => {one.row.destination} ({one.row.action or 'permissions'})"
        else:
            yield f"remove intention {one.pair[0]} => {one.pair[1]}"
    yield from sorted(plan.conflicts | intentions.conflicts)
    for service in sorted(plan.withheld):
        yield f"not removed yet: instances of {service} that the source does not show"
    if intentions.withheld:
        yield "not removed yet: intentions that the source does not show"


def _line(action: Action) -> str:
    if isinstance(action, Register):
        instance = action.instance
        what = f"instance {instance.id} of {instance.service}, " if instance is not None else ""
        return f"register node {action.node.name}: {what}{len(action.checks)} checks"
    if isinstance(action, RemoveCheck):
        return f"remove check {action.check_id} of node {action.node}"
    if isinstance(action, RemoveInstance):
        return f"remove instance {action.instance_id} of node {action.node}"
    return f"remove node {action.node}"


def why_not_ready(mirrors: Sequence[Mirror]) -> str:
    """The empty text when every direction has had a full pass."""
    if not mirrors:
        return "not both catalogs have answered yet"
    waiting = [mirror.target.name for mirror in mirrors if not mirror.ready.is_set()]
    return f"no full pass yet {waiting[0]}" if waiting else ""


def metrics_text(name: str, mirrors: Sequence[Mirror]) -> str:
    """The metrics in Prometheus' text form."""
    families = (
        ("instances", "gauge", "Instances of the source that are mirrored.", lambda one: one.source.book.size),
        (
            "trusted",
            "gauge",
            "Whether the source is believed about what it lacks.",
            lambda one: int(one.source.trusted),
        ),
        (
            "missing",
            "gauge",
            "Services with instances kept that the source lacks.",
            lambda one: len(one.source.book.missing),
        ),
        ("passes_total", "counter", "Passes that succeeded.", lambda one: one.passes),
        ("writes_total", "counter", "Writes to the target.", lambda one: one.target.writes),
        ("refused_total", "counter", "Writes that the target refused.", lambda one: one.target.refusals),
    )
    text = ""
    for metric, kind, about, value in families:
        text += f"# HELP linkspan_bridge_{metric} {about}\n# TYPE linkspan_bridge_{metric} {kind}\n"
        for mirror in mirrors:
            text += f'linkspan_bridge_{metric}{{bridge="{name}",origin="{mirror.origin}"}} {value(mirror)}\n'
    return text
