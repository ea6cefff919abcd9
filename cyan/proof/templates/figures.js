// Draws a page's figures in its theme; `cyan` is what the page's own script calls.
const cyan = (() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 760px)");
  const drawn = new Map();

  // a promise of plotly, which the page holds packed: it is most of it
  const ready = (async () => {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
  })();

  const theme = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();

  function painted(trace) {
    if (trace.heat) {
      const [blue, green] = [theme("blue"), theme("green")];
      return { ...trace, colorscale: [[0, green], [0.4, green], [0.5, "rgba(127,127,127,0)"], [0.6, blue], [1, blue]] };
    }
    const color = theme(trace.role);
    const copy = { type: "scatter", ...trace };
    if (trace.stackgroup) copy.fillcolor = color;
    if (trace.marker || (trace.mode || "").includes("markers")) copy.marker = { size: 6, ...trace.marker, color };
    copy.line = { ...trace.line, color };
    return copy;
  }

  function shape(item) {
    const color = theme(item.role);
    if (item.type === "rect") return { ...item, fillcolor: color, line: { width: 0 } };
    return { ...item, line: { ...item.line, color } };
  }

  function layout(figure) {
    const own = figure.layout, ink = theme("ink"), quiet = theme("quiet"), rule = theme("rule");
    const axis = (extra) => ({ gridcolor: rule, zerolinecolor: rule, linecolor: rule, ...extra,
      title: extra && extra.title ? { ...extra.title, font: { size: 12, color: quiet } } : undefined });
    const axes = Object.fromEntries(Object.keys(own).filter((k) => /axis/.test(k)).map((k) => [k, axis(own[k])]));
    return {
      ...own, ...axes,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
      margin: { l: narrow.matches ? 44 : 58, r: 10, t: 28, b: 46 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal", font: { color: quiet } },
      hovermode: own.hovermode || "x unified",
      hoverlabel: { bgcolor: theme("card"), bordercolor: rule, font: { color: ink } },
      dragmode: narrow.matches ? false : "zoom",
      shapes: (own.shapes || []).map(shape),
      annotations: (own.annotations || []).map((a) => ({ ...a, font: { color: quiet, size: 12 } })),
    };
  }

  function draw(id, figure) {
    drawn.set(id, figure);
    const config = { responsive: true, displaylogo: false, scrollZoom: false, displayModeBar: false };
    describe(document.getElementById(id), figure);
    return Plotly.react(id, figure.data.map(painted), layout(figure), config);
  }

  // for whoever cannot see it: what it is, and what is drawn as a table, made when it is asked for
  function describe(node, figure) {
    const title = node.closest("section")?.querySelector("h2")?.textContent || node.id;
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", `${title}: a chart, whose data is in the table after it`);
    const before = node.nextElementSibling;
    const details = before?.matches("details.data") ? before : document.createElement("details");
    details.className = "data";
    details.open = false;
    details.innerHTML = "<summary>The data of this chart</summary>";
    details.ontoggle = () => {
      if (details.open && !details.querySelector("table")) details.append(tabulated(title, figure));
    };
    if (details !== before) node.after(details);
  }

  function tabulated(title, figure) {
    const shown = 1000;
    const rows = figure.data.flatMap((trace) => rowsOf(trace));
    const table = document.createElement("table");
    table.createCaption().textContent = rows.length > shown ? `${title}: the first ${shown} of ${rows.length} points` : title;
    const head = table.createTHead().insertRow();
    for (const name of ["", "x", "y", ...(rows.some((row) => row.length > 3) ? ["value"] : [])]) {
      const cell = document.createElement("th");
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of rows.slice(0, shown)) {
      const line = body.insertRow();
      for (const value of row) line.insertCell().textContent = typeof value === "number" ? String(+value.toFixed(3)) : String(value ?? "");
    }
    const box = document.createElement("div");
    box.className = "scroll";
    box.append(table);
    return box;
  }

  function rowsOf(trace) {
    const [x, y] = [[...(trace.x || [])], [...(trace.y || [])]];
    if (!trace.z) return x.map((at, index) => [trace.name || "", at, y[index] ?? ""]);
    return y.flatMap((name, line) => x.map((at, index) => [trace.name || "", at, name, trace.z[line][index]])).filter((row) => row[3]);
  }

  function buttons(id, items, pick) {
    const nav = document.querySelector(`nav[data-for="${id}"]`);
    items.forEach((item, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = item.name;
      button.setAttribute("aria-pressed", String(index === 0));
      button.onclick = () => {
        for (const other of nav.children) other.setAttribute("aria-pressed", String(other === button));
        pick(item);
      };
      nav.append(button);
    });
  }

  const again = () => drawn.forEach((figure, id) => draw(id, figure));
  dark.addEventListener("change", again);
  narrow.addEventListener("change", again);
  addEventListener("beforeprint", () => drawn.forEach((_, id) => Plotly.Plots.resize(id)));
  return { figures, draw, buttons, ready };
})();
