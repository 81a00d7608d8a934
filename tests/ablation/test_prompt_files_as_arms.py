"""Prompt styles from files as arms: all runs of an arm are made with the text that the file had at the beginning."""

from sftframe.ablation.planning import read_plan

STYLE = 'segments = [{ template = "Q: " }, "instruction", "input", { template = "\\nA:\\n" }, "response"]\n'


def layers(plan):
    return [arm.layer["prompt"] for arm in plan.grid.arms]


def test_a_plan_keeps_the_texts_of_its_arms(plan, toys, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(STYLE)
    made = plan(ablate={"prompt": ["brief", str(path)], "collate": "mask-pad"})
    path.unlink()
    again = read_plan(made.document(), toys.registry)
    assert [arm.name for arm in again.grid.arms] == ["brief", str(path)]
    assert layers(again) == layers(made) == [{"name": "brief"}, {"name": str(path), "content": STYLE}]


def test_a_style_that_all_arms_share_is_kept_too(plan, toys, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(STYLE)
    made = plan(prompt=str(path))
    path.unlink()
    again = read_plan(made.document(), toys.registry)
    assert layers(again) == [{"name": "toml:mine", "content": STYLE, "stop_strings": []}] * 2
