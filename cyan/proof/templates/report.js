(() => {
  "use strict";
  const { figures, draw, buttons } = cyan;
  draw("timeline-figure", figures.timeline);
  buttons("timeline-figure", figures.timeline.views, (view) => Plotly.relayout("timeline-figure", { "xaxis.range": view.range.slice() }));
  if (figures.closeups.length) {
    draw("closeup-figure", figures.closeups[0].figure);
    buttons("closeup-figure", figures.closeups, (item) => draw("closeup-figure", item.figure));
  } else document.getElementById("closeups").remove();
  if (figures.lanes.length) {
    draw("lanes-figure", figures.lanes[0].figure);
    buttons("lanes-figure", figures.lanes, (item) => draw("lanes-figure", item.figure));
  } else document.getElementById("lanes").remove();
  if (figures.work) draw("work-figure", figures.work);
  draw("distribution-figure", figures.distribution);
  draw("handover-figure", figures.handover);
  draw("latency-figure", figures.latency);
  draw("drains-figure", figures.drains);

  document.body.dataset.drawn = "yes";
})();
