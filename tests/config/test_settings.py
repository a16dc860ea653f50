import pytest

from kmixer.config import Settings, loading, presets, yaml_files
from kmixer.errors import SettingsError


def test_precedence_defaults_preset_file_flags(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("training: {epochs: 3, seed: 4}\n")
    preset = {"training": {"epochs": 2, "seed": 2, "label_smoothing": 0.1}}
    flags = loading.parse_assignment("training.epochs=5")
    built = loading.build_settings(preset, yaml_files.read_file(file), flags)
    assert built.training.epochs == 5
    assert built.training.seed == 4
    assert built.training.label_smoothing == 0.1
    assert built.data.batch_size == Settings().data.batch_size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle.blocks=2", "modle: no such setting (nearest: 'model')"),
        ("model.block=2", "model.block: no such setting (nearest: 'blocks', 'block_dims')"),
        ("model.blocks=two", "model.blocks: received 'two', expected integer"),
        ("model.blocks=0", "model.blocks: received 0, expected greater than or equal to 1"),
        ("model.activation=gelo", "model.activation: received 'gelo', expected 'gelu_tanh'"),
        ("model=3", "model: received 3, expected keys"),
        ("optimizer=muon", "optimizer: received 'muon', expected keys such as"),
        ("training.epochs=true", "training.epochs: received True, expected integer"),
        ("data.split_seed=-1", "data.split_seed: received -1"),
        ("optimizer.name=sdg", "optimizer.name: received 'sdg', no such choice (nearest: 'sgd'"),
        ("optimizer.momentun=1", "optimizer.momentun: no such setting"),
        ("optimizer.learning_rate=.inf", "optimizer.learning_rate: received inf, expected"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate: received -1, expected greater"),
        (
            "augment.random_resized_crop.scale=[0.9,0.2]",
            "augment.random_resized_crop.scale: received",
        ),
        ("augment.random_resized_crop.scael=1", "augment.random_resized_crop.scael: no such"),
        (
            "plateau.patience=3",
            "ReduceLROnPlateau cannot change the learning rate of schedule.name",
        ),
        ("schedule.warmup_epochs=99", "schedule.warmup_epochs: received 99, expected at most"),
        ("model.block_dims=[64,32,16,8]", "set model.skip_connections to false"),
        (
            "model.tokens_mlp_dim=[1,2]",
            "model.tokens_mlp_dim: received 2 widths [1, 2], expected one",
        ),
        ("model={name: cnn, stages: [{filters: 0}]}", "model.stages.0.filters: received 0"),
        ("model={name: cnn, stages: [{filter: 1}]}", "no such setting (nearest: 'filters'"),
        ("model={name: mlp, blocks: 2}", "model.blocks: no such setting"),
        ("model.name=mixxer", "model.name: received 'mixxer', no such choice (nearest: 'mixer'"),
        ("training.checkpoint_every=x", "training.checkpoint_every: received 'x', expected a time"),
        ("data.mean=[a]", "data.mean.0: received 'a', expected number"),
        ("nonsense", "received 'nonsense', expected path.to.key=value"),
        ("a." * 3000 + "b=1", "expected path.to.key=value"),
        ("model.blocks=[", "model.blocks: expected YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, message):
    with pytest.raises(SettingsError) as caught:
        loading.build_settings(loading.parse_assignment(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_flags_of_one_command_line_count_together():
    both = loading.merge(
        loading.parse_assignment("optimizer.learning_rate=0.05"),
        loading.parse_assignment("optimizer.name=sgd"),
    )
    assert (
        loading.build_settings({"optimizer": {"name": "muon"}}, both).optimizer.learning_rate
        == 0.05
    )


def test_another_optimizer_starts_from_its_own_defaults():
    preset = {"optimizer": {"name": "muon", "learning_rate": 0.03}}
    built = loading.build_settings(preset, loading.parse_assignment("optimizer.name=adam"))
    assert built.optimizer.learning_rate == 1e-3
    kept = loading.build_settings(preset, loading.parse_assignment("optimizer.momentum=0.9"))
    assert kept.optimizer.learning_rate == 0.03


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_of_any_editor_is_read(tmp_path, encoding, end):
    file = tmp_path / "mine.yaml"
    file.write_bytes(f"# Größe{end}model:{end}  blocks: 2{end}".encode(encoding))
    assert yaml_files.read_file(file) == {"model": {"blocks": 2}}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("on", "on"), ("no", "no"), ("true", True), ("-2.5E2", -250.0), ("7", 7),
     ("1.2.3", "1.2.3"), (".5", 0.5), ("null", None), ("010", 10), ("1:30", "1:30"),
     ("0x1F", 31), ("0o10", 8), ("1_000", "1_000"), ("0b1", "0b1"), ("+12", 12), ("08", 8),
     ("1e3", 1000.0), (".inf", float("inf")), ("2026-11-25", "2026-11-25"), ("=", "="),
     ("190:20:30.15", "190:20:30.15"), ("y", "y"), ("Yes", "Yes"), ("OFF", "OFF"), ("~", None),
     ("!!int 010", 10), ("!!float 3", 3.0), ("!!str 3", "3"), ("'3'", "3"), ("-0x1F", "-0x1F")],
)  # fmt: skip
def test_yaml_reads_words_as_words_and_numbers_as_numbers(text, value):
    assert yaml_files.parse_yaml(text, "here") == value


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.getcwd []", "!!int ''", "!!float ''", "!!bool maybe",
     "!!timestamp 2026-11-25", "!!int 1:30", "!!int 0b1", "!!int 1_000", "!!float 1:30", "!!bool yes",
     "!!binary aGk=", "!!set {a}", "!!omap [a: 1]", "!!pairs [a: 1]", "!mine 3", "? [a]\n: 1"],
)  # fmt: skip
def test_yaml_builds_no_objects_and_values_that_are_not_what_their_tag_says_are_refused(text):
    with pytest.raises(SettingsError, match="here: expected YAML"):
        yaml_files.parse_yaml(text, "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 2}\na: 3\n", "here: expected YAML; line 3: received the key 'a' twice"),
        ("b: {c: 2, c: 2}\n", "line 1: received the key 'c' twice, expected it once"),
        ("b:\n- d:\n    c: 2\n    'c': 3\n", "line 4: received the key 'c' twice"),
        ("b:\n  8: 2\n  0o10: 3\n", "line 3: received the key '0o10' twice"),
        ("a: &x [1]\nb: *x\n", r"line 2: received the alias \*x, expected the value itself"),
        ("a:\n  <<: {c: 1}\n  c: 2\n", "line 2: received <<, expected the keys themselves"),
    ],
)
def test_keys_that_come_twice_and_aliases_are_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        yaml_files.parse_yaml(text, "here")


@pytest.mark.parametrize("value", ["1e3", "no", "1.5", "null", ".nan", "é", "\udcff", "1:30", 1e-5])
def test_what_is_written_as_yaml_reads_back_to_the_same_value(value):
    text = yaml_files.to_yaml({"a": [value], "b": [value]})
    assert yaml_files.parse_yaml(text, "here") == {"a": [value], "b": [value]}


@pytest.mark.parametrize("name", presets.preset_names())
def test_every_preset_loads_and_survives_yaml(name):
    built = loading.build_settings(presets.read_preset(name))
    text = loading.dump(built)
    assert loading.build_settings(yaml_files.parse_yaml(text, "dump")) == built


@pytest.mark.parametrize("name", presets.preset_names())
def test_every_preset_is_headed_and_holds_only_what_differs(name):
    text = presets.preset_text(name)
    assert text.startswith("# ")
    data = loading.build_settings(presets.read_preset(name)).data.name
    command = f"kmixer train {data}{'' if name == data else f' --preset {name}'}"
    if name in presets.FOLDER_PRESETS:
        command = "kmixer train ./photos"
    assert ("kmixer finetune" if name == "finetune" else command) in text
    assert len(presets.preset_heading(name)) > 20
    for section, values in presets.read_preset(name).items():
        default = getattr(Settings(), section)
        for key, value in values.items():
            if key != "name" and hasattr(default, key) and default.model_dump()[key] == value:
                # An optimizer's or schedule's defaults depend on which one is chosen.
                assert "name" in values, f"{name}: {section}.{key} is the default"


def test_unknown_preset_names_the_nearest():
    with pytest.raises(SettingsError, match=r"nearest: 'fmnist-pyramid'"):
        presets.read_preset("fmnist-pyramd")


@pytest.mark.parametrize("layer", ["photos", 3, None])
def test_a_layer_that_is_no_mapping_is_refused(layer):
    with pytest.raises(
        SettingsError, match=rf"settings: received {layer!r}, expected nested dicts"
    ):
        loading.build_settings(layer)


@pytest.mark.parametrize("content", ["- 1\n", "3", "a: [", "\x00"])
def test_a_settings_file_that_holds_no_sections_is_refused(tmp_path, content):
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=r"bad\.yaml"):
        yaml_files.read_file(file)


def test_a_copy_with_other_values():
    """Sections within change key by key; the settings themselves stay; a wrong key is an error."""
    settings = Settings()
    changed = settings.changed(training={"jit": False}, data={"batch_size": 8}, search=None)
    assert (changed.training.jit, changed.data.batch_size) == (False, 8)
    assert changed.training.epochs == settings.training.epochs
    assert (settings.training.jit, settings.data.batch_size) == (None, Settings().data.batch_size)
    with pytest.raises(KeyError, match="TrainingSettings has no 'jti'"):
        settings.changed(training={"jti": False})
