// Charts, each with a table of the same figures: by choice, and where Chart.js is not installed.
import { compact, el, number } from "./text.js";

let loading;
/// Chart.js, or nothing where Debian's libjs-chart.js is absent.
function library() {
  loading ??= new Promise((resolve) => {
    const script = el("script", { src: "/chart.js" });
    script.addEventListener("load", () => resolve(globalThis.Chart ?? null));
    script.addEventListener("error", () => resolve(null));
    document.head.append(script);
  });
  return loading;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const shown = new Set();

/// The theme has changed: everything that is drawn takes its colours.
export function recolour() {
  for (const figure of shown) figure.draw();
}

/// A chart in a `<figure>` that the page holds: a canvas, a table, and a button to change between them.
export class Figure {
  /// - Parameters:
  /// - options: `label` for screen readers and the table's caption, `unit` of the vertical axis, `first` the head of
  /// the
  ///     first column, `kind` `line` or `bar`, `bare` for a chart without axes, `newestFirst` for the table.
  constructor(host, options) {
    this.host = host;
    this.options = options;
    this.canvas = el("canvas", { role: "img" });
    this.frame = el("div", { class: options.bare ? "canvas bare" : "canvas" }, this.canvas);
    this.table = el("div", { class: "scroll figures", tabindex: "0", role: "region", "aria-label": options.label,
      hidden: true });
    this.note = el("p", { class: "note", hidden: true },
      "Drawn charts need Debian's package libjs-chart.js on the server.");
    host.replaceChildren(this.frame, this.table, this.note);
    this.isTable = false;
    library().then((Chart) => {
      this.Chart = Chart;
      this.note.hidden = Chart !== null || options.bare;
      if (this.toggle) this.toggle.hidden = Chart === null;
      this.draw();
    });
    shown.add(this);
  }

  /// Lets a button change between the chart and its table.
  toggledBy(button) {
    this.toggle = button;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      this.isTable = !this.isTable;
      button.setAttribute("aria-pressed", String(this.isTable));
      this.draw();
    });
    return this;
  }

  /// - Parameters:
  ///   - labels: of the horizontal axis.
  ///   - series: `{name, values, colour, fill, dash, level}`; a level is a line across all.
  ///   - summary: the chart in a sentence.
  ///   - doubt: `{from, mark}`, the place from which figures are not all that there was, and what stands before them.
  show({ labels, series, summary, isUnderWay = false, current = -1, columns = series, doubt = null }) {
    this.data = { labels, series, summary, isUnderWay, current, columns, doubt };
    this.draw();
  }

  draw() {
    if (this.Chart === undefined || !this.data) return;
    const isDrawn = this.Chart !== null && !this.isTable;
    this.frame.hidden = !isDrawn;
    this.table.hidden = isDrawn;
    if (isDrawn) this.drawChart();
    else this.drawTable();
  }

  /// A figure as it may be told.
  told(value, index) {
    const { doubt } = this.data;
    return doubt && index >= doubt.from ? `${doubt.mark} ${number(value)}` : number(value);
  }

  drawTable() {
    if (this.options.bare) return void (this.table.hidden = true);
    const { labels, columns, current } = this.data;
    const head = el("tr", {}, el("th", { scope: "col" }, this.options.first));
    for (const column of columns) head.append(el("th", { scope: "col", class: "n" }, column.name));
    const body = el("tbody");
    const order = labels.map((_, index) => index);
    if (this.options.newestFirst) order.reverse();
    for (const index of order) {
      const row = el("tr", { class: index === current ? "current" : null }, el("th", { scope: "row" }, labels[index]));
      for (const column of columns) row.append(el("td", { class: "n" }, this.told(column.values[index], index)));
      body.append(row);
    }
    const top = this.table.scrollTop;
    this.table.replaceChildren(
      el("table", {}, el("caption", { class: "hidden" }, this.options.label), el("thead", {}, head), body));
    this.table.scrollTop = top;
  }

  drawChart() {
    const { labels, series, summary, isUnderWay, current } = this.data;
    this.canvas.setAttribute("aria-label", `${this.options.label}. ${summary ?? ""}`);
    const isBar = this.options.kind === "bar";
    const last = labels.length - 1;
    const datasets = series.map((one) => {
      const colour = css(one.colour);
      return {
        type: one.level ? "line" : this.options.kind ?? "line",
        label: one.name, data: one.values, stack: this.options.isStacked && !one.level ? "bars" : one.name,
          borderColor: colour,
        backgroundColor: isBar && !one.level
          ? labels.map((_, index) => (index === current ? css("--ink") : colour)) : `${colour}2e`,
        borderWidth: isBar && !one.level ? 0 : one.level ? 1.2 : 1.7, fill: one.fill ? "origin" : false,
        borderDash: one.dash ?? [], pointRadius: 0, pointStyle: isBar && !one.level ? "rect" : "line",
          pointHitRadius: 6, tension: one.level ? 0 : 0.25,
        cubicInterpolationMode: "monotone", maxBarThickness: 26, order: one.level ? 0 : 1,
        // What is under way will still grow.
        segment: isUnderWay && !one.level
          ? { borderDash: (line) => (line.p1DataIndex === last ? [2, 3] : undefined) } : undefined,
      };
    });
    if (this.chart && this.chart.data.datasets.length === datasets.length) {
      this.chart.data.labels = labels;
      datasets.forEach((dataset, index) => Object.assign(this.chart.data.datasets[index], dataset));
      this.chart.options = this.settings();
      this.chart.update("none");
    } else {
      this.chart?.destroy();
      this.chart = new this.Chart(this.canvas, { type: this.options.kind ?? "line", data: { labels, datasets },
        options: this.settings(), plugins: [{ id: "hatching", beforeDatasetsDraw: (chart) => this.hatch(chart) }] });
    }
  }

  /// Where the bars do not say all: without it, no bar would look like nothing.
  hatch({ ctx, chartArea: area, scales }) {
    const { labels, doubt } = this.data ?? {};
    if (!doubt) return;
    const width = (area.right - area.left) / labels.length;
    const left = scales.x.getPixelForValue(doubt.from) - width / 2;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, area.top, area.right - left, area.bottom - area.top);
    ctx.clip();
    ctx.beginPath();
    for (let x = left - area.height; x < area.right; x += 8) {
      ctx.moveTo(x, area.bottom);
      ctx.lineTo(x + area.height, area.top);
    }
    ctx.lineWidth = 1;
    ctx.strokeStyle = css("--line");
    ctx.stroke();
    ctx.restore();
  }

  settings() {
    const { bare, unit, isLogarithmic, isStacked } = this.options;
    const [ink, line] = [css("--faint"), css("--line")];
    const font = { size: 11, family: css("--font") };
    return {
      responsive: true, maintainAspectRatio: false,
      animation: calm.matches || bare ? false : { duration: 250 },
      interaction: { mode: "index", intersect: false },
      layout: { padding: bare ? { top: 3, bottom: 2 } : 0 },
      plugins: {
        legend: {
          display: !bare, position: "top", align: "end",
          labels: { color: css("--ink"), font, usePointStyle: true, boxWidth: 22, boxHeight: 7, padding: 10 },
        },
        tooltip: {
          enabled: !bare, backgroundColor: css("--ink"), titleColor: css("--paper"), bodyColor: css("--paper"),
          titleFont: font, bodyFont: font, boxWidth: 8, boxHeight: 8, padding: 6,
          callbacks: { label: (one) => `${one.dataset.label}: ${this.told(one.raw, one.dataIndex)}` },
        },
      },
      scales: {
        x: {
          stacked: isStacked, display: !bare, grid: { display: false, borderColor: line },
          ticks: { color: ink, font, maxRotation: 0, autoSkip: true, autoSkipPadding: 18 },
        },
        y: {
          type: isLogarithmic ? "logarithmic" : "linear", min: isLogarithmic ? 0.5 : undefined, stacked: isStacked,
          display: !bare, beginAtZero: true, suggestedMax: bare ? 4 : 5, grid: { color: line, drawBorder: false },
          title: { display: Boolean(unit), text: unit, color: ink, font },
          ticks: { color: ink, font, maxTicksLimit: 5, precision: 0,
            callback: (value) => (!isLogarithmic || Number.isInteger(Math.log10(value)) ? compact(value) : null) },
        },
      },
    };
  }

  close() {
    shown.delete(this);
    this.chart?.destroy();
    this.chart = null;
    this.data = null;
  }
}
