"""Components and events of the tab *Label regions*: the "few minutes of supervision" of StyleFusion (Kafri et al., ACM
TOG 2022, section 4.1).

Clusters of the generator's activations are shown on a few pictures; a person clicks those that belong together and
names them, and clusters of one name are merged. The result is a region catalog to download, or to save in a folder if
whoever runs the page allows it (`FOLDER_VARIABLE`).
"""

import os

import gradio as gr

from sfhub.errors import InputError
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.space.common.hand_over import HandOver
from sfhub.space.common.markup import escaped
from sfhub.space.common.models import Models
from sfhub.space.common.sentences import errors_as_sentences
from sfhub.space.common.tab import CLICKS_JS, PLAIN, Updates, click_options, columns, script
from sfhub.space.label_regions import view
from sfhub.space.label_regions.state import Labels
from sfhub.space.label_regions.work import FOLDER_VARIABLE, Clusters, Labeller, zipped

__all__ = ["TITLE", "build", "suits"]

TITLE = "Label regions"

CLICK = click_options("label_regions")
# What takes long shows that it does, and is not asked for twice.
WORK = {**click_options("label_regions_work"), "show_progress": "full", "trigger_mode": "once"}

# Gradio puts the real one in its place; it follows the bars of what the answer computes.
PROGRESS = gr.Progress(track_tqdm=True)

MAPS_JS = script(__file__, "maps")


def suits(pipe: GeneratorPipeline) -> bool:
    """Whether a model has regions that are yet to be found, which those of a SemanticStyleGAN are not."""
    return isinstance(pipe, StyleGANPipeline)


def build(models: Models, page: gr.Blocks, hand_over: HandOver) -> None:
    """Lay out the tab inside `page`, which is being built; nothing is computed before a visitor asks for it.

    Args:
        models: those that the tab suits, of which it takes the first.
        hand_over: of no use here.
    """
    LabelTab(Labeller(models.first))


class LabelTab:
    """The components of the tab, what connects them, and the answers to events."""

    def __init__(self, labeller: Labeller):
        self.labeller = labeller
        self.labels = gr.State(None)
        with columns() as (stage, controls):
            with stage:
                self.maps = gr.HTML(view.EMPTY, js_on_load=MAPS_JS, elem_classes="views-block", **PLAIN)
                self.summary = gr.HTML(js_on_load=None, **PLAIN)
            with controls:
                self._lay_out_controls()
        self.outputs = [self.labels, self.maps, self.chips, self.summary, self.name, self.make, self.download]
        self._connect()

    def _lay_out_controls(self) -> None:
        self.count = gr.Slider(4, 32, 16, step=1, label="Number of clusters", buttons=[], elem_classes="slider")
        with gr.Row(elem_classes="tools"):
            self.find = gr.Button("Find clusters", size="sm", variant="primary", min_width=120)
            self.others = gr.Button("Other pictures", size="sm", min_width=120)
        self.chips = gr.HTML(js_on_load=CLICKS_JS, **PLAIN)
        with gr.Row(elem_classes="tools"):
            self.name = gr.Textbox(
                label="Name of the chosen clusters", placeholder="hair", show_label=False, container=False,
                max_length=60, min_width=120,
            )  # fmt: skip
            self.rename = gr.Button("Name them", size="sm", min_width=100)
            self.suggest = gr.Button("Suggest names", size="sm", min_width=100, visible=self.labeller.has_parser)
        with gr.Row(elem_classes="tools"):
            self.folder = gr.Textbox(
                label="Save on the server as", placeholder="my-regions", max_length=64, min_width=120,
                visible=bool(os.environ.get(FOLDER_VARIABLE)),
            )  # fmt: skip
            self.make = gr.Button("Make the catalog", size="sm", min_width=120, interactive=False)
            self.download = gr.DownloadButton("Download ZIP", size="sm", min_width=120, interactive=False)

    def _connect(self) -> None:
        work = {**WORK, "show_progress_on": self.summary}
        gr.on([self.find.click], self.start, [self.labels, self.count], self.outputs, **work)
        gr.on([self.others.click], self.start_on_others, [self.labels, self.count], self.outputs, **work)
        gr.on([self.maps.click], self.point, self.labels, self.outputs, **CLICK)
        gr.on([self.chips.click], self.toggle, self.labels, self.outputs, **CLICK)
        gr.on([self.rename.click, self.name.submit], self.give_name, [self.labels, self.name], self.outputs, **CLICK)
        gr.on([self.suggest.click], self.suggest_names, self.labels, self.outputs, **work)
        gr.on([self.make.click], self.make_catalog, [self.labels, self.folder], self.outputs, **work)

    # Answers ----------------------------------------------------------------------------------------------------------

    def start(self, labels: Labels | None, count: float) -> Updates:
        """So many clusters, on the same pictures as before if there are any."""
        return self._show(Labels.blank(labels.seed if labels else 0, int(count)))

    def start_on_others(self, labels: Labels | None, count: float) -> Updates:
        """So many clusters, on other pictures."""
        return self._show(Labels.blank(labels.seed + 1 if labels else 1, int(count)))

    def point(self, labels: Labels | None, event: gr.EventData) -> Updates:
        """A click into a picture chooses the cluster there."""
        with errors_as_sentences():
            maps = self._clusters(labels).labels
            _, height, width = maps.shape
            row, column = (
                min(max(int(share * length), 0), length - 1) for share, length in ((event.y, height), (event.x, width))
            )
            return self._show(labels.toggle(int(maps[int(event.sample) % len(maps), row, column])))

    def toggle(self, labels: Labels | None, event: gr.EventData) -> Updates:
        """A click on a cluster in the list."""
        with errors_as_sentences():
            self._clusters(labels)
            return self._show(labels.toggle(int(event.cluster)))

    def give_name(self, labels: Labels | None, name: str) -> Updates:
        """The name that was typed goes to the chosen clusters."""
        with errors_as_sentences():
            self._clusters(labels)
            return self._show(labels.rename(name)) | {self.name: ""}

    def suggest_names(self, labels: Labels | None) -> Updates:
        """Names by the parser, for a start."""
        with errors_as_sentences():
            return self._show(labels.with_names(self.labeller.suggest(self._clusters(labels))))

    def make_catalog(self, labels: Labels | None, folder: str, progress: gr.Progress = PROGRESS) -> Updates:
        """Measure the regions and offer the catalog."""
        with errors_as_sentences():
            clusters = self._clusters(labels)
            if not labels.regions:
                raise InputError("No cluster has a name yet; choose some and name them, or have names suggested.")
            catalog = self.labeller.catalog(clusters, labels.final_names)
            if folder and folder.strip():
                gr.Info(escaped(f"Saved to {self.labeller.save(catalog, folder.strip())}."))
            return {self.download: gr.update(value=zipped(catalog), interactive=True, variant="primary")}

    def _clusters(self, labels: Labels | None) -> Clusters:
        """Those that the names belong to, which may have to be found again.

        Raises:
            InputError: if the visitor has none yet.
        """
        if labels is None:
            raise InputError("There are no clusters yet; press Find clusters first.")
        return self.labeller.find(labels.seed, len(labels.names))

    def _show(self, labels: Labels) -> Updates:
        clusters = self._clusters(labels)
        return {
            self.labels: labels,
            self.maps: view.maps(clusters, labels),
            self.chips: view.chips(clusters, labels),
            self.summary: view.summary(labels),
            self.make: gr.update(interactive=bool(labels.regions)),
            # What was made before may no longer be what is shown.
            self.download: gr.update(value=None, interactive=False, variant="secondary"),
        }
