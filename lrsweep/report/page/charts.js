// Draws the report's charts out of the JSON in the page: families that are switched off, views, a switch of the scale,
// zoom by dragging, and what lies under the pointer. Without it the page keeps the pictures that it came with.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = 12;
  const off = new Set();
  const redraws = [];
  const SVG = "http://www.w3.org/2000/svg";

  const make = (name, attributes, parent, text) => {
    const made = document.createElementNS(SVG, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    parent.appendChild(made);
    return made;
  };
  const button = (text, isPressed, parent, onClick) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-pressed", String(isPressed));
    made.addEventListener("click", () => onClick(made));
    parent.appendChild(made);
    return made;
  };
  const colour = (family) => {
    const place = data.families[family] ?? 0;
    return `c${place % COLOURS}${place >= COLOURS ? " dashed" : ""}`;
  };
  const figure = (value) => {
    const size = Math.abs(value);
    if (size >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
    return size !== 0 && size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  };

  const ticks = (low, high, isLog, wanted) => {
    if (isLog) {
      let found = [];
      const reach = (high / low) ** 0.125;
      for (const parts of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]]) {
        found = [];
        for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
          for (const part of parts) {
            const at = Number(`${part}e${power}`);
            if (at >= low * (1 - 1e-9) && at <= high * (1 + 1e-9)) found.push(at);
          }
        }
        if (found.length >= 3 && found[0] <= low * reach && found[found.length - 1] >= high / reach) break;
      }
      if (found.length >= 3) return found;
      wanted = Math.max(6, wanted); // so narrow that it is all but linear
    }
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((part) => part * power).find((each) => each >= 0.7 * rough);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at <= high / step + 1e-9; at += 1) found.push(at * step);
    return found;
  };

  // those whose labels do not touch the one before
  const apart = (found, at, room) => {
    let last = null;
    return found.filter((each) => {
      if (last !== null && Math.abs(at(each) - at(last)) < room(each)) return false;
      last = each;
      return true;
    });
  };

  const limits = (values, isLog) => {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return [0, 1];
    if (isLog) return low < high ? [low / 1.1, high * 1.1] : [low / 2, high * 2];
    const room = 0.04 * (high - low) || Math.abs(high) * 0.1 || 1;
    return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
  };

  const scale = (low, high, first, last, isLog) => {
    const place = isLog
      ? (value) => Math.log(Math.max(value, low / 10) / low) / Math.log(high / low)
      : (value) => (value - low) / (high - low);
    const back = isLog
      ? (share) => low * (high / low) ** share
      : (share) => low + share * (high - low);
    const at = (value) => first + (last - first) * place(value);
    at.back = (pixel) => back((pixel - first) / (last - first));
    return at;
  };

  const draw = (host, chart) => {
    const plot = host.querySelector(".plot");
    const tools = host.querySelector(".tools");
    const state = { view: chart.views[0], yLog: chart.y_log, xLog: chart.x_log, zoom: null };
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    let targets = [];
    let svg = null;
    let box = null;

    const isShown = (each) => !off.has(each.family) && (each.view === "" || each.view === state.view);

    const render = () => {
      const width = Math.max(260, plot.clientWidth);
      const height = Math.round(Math.min(380, Math.max(230, width * 0.45)));
      const [left, right, top, bottom] = [width < 480 ? 46 : 58, 10, 10, 38];
      const shown = chart.series.filter(isShown);
      const inside = (x) => state.zoom === null || (x >= state.zoom[0] && x <= state.zoom[1]);
      const points = shown.flatMap((each) => each.points);
      const crosses = shown.flatMap((each) => each.crosses);
      const xs = [...points.map((point) => point[0]), ...crosses.map((cross) => cross[0])];
      const ys = points.filter((point) => point[1] !== null && inside(point[0])).map((point) => point[1]);
      const xLog = state.xLog && xs.every((x) => x > 0);
      const yLog = state.yLog && ys.every((y) => y > 0);
      const [xLow, xHigh] = state.zoom ?? limits(xs, xLog);
      const [yLow, yHigh] = limits(ys, yLog);
      const x = scale(xLow, xHigh, left, width - right, xLog);
      const y = scale(yLow, yHigh, height - bottom, top + (crosses.length ? 18 : 0), yLog);
      const fresh = document.createElementNS(SVG, "svg");
      fresh.setAttribute("viewBox", `0 0 ${width} ${height}`);
      fresh.setAttribute("role", "img");
      fresh.setAttribute("aria-label", `${chart.y_label} over ${chart.x_label}`);
      const clip = make("clipPath", { id: `clip-${chart.key}` }, make("defs", {}, fresh));
      make("rect", { x: left, y: 0, width: width - left - right, height: height - bottom + 3 }, clip);
      const yTicks = ticks(yLow, yHigh, yLog, 5);
      for (const at of yTicks) {
        make("line", { class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at) }, fresh);
      }
      for (const at of apart(yTicks, y, () => 14)) {
        make("text", { x: left - 6, y: y(at) + 4, "text-anchor": "end" }, fresh, figure(at));
      }
      for (const at of apart(ticks(xLow, xHigh, xLog, width < 480 ? 4 : 8), x, (each) => 7 * (2 + figure(each).length))) {
        make("text", { x: x(at), y: height - bottom + 16, "text-anchor": "middle" }, fresh, figure(at));
      }
      make("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }, fresh);
      const middle = { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" };
      make("text", middle, fresh, `${chart.x_label}${xLog ? " (log)" : ""}`);
      const inner = make("g", { "clip-path": `url(#clip-${chart.key})` }, fresh);
      const band = chart.band;
      if (band !== null && band.view === state.view) {
        const from = Math.max(left, x(band.low));
        const to = Math.max(from + 2, x(band.high));
        const marked = make("rect", { class: "band", x: from, y: 0, width: to - from, height: height - bottom }, inner);
        make("title", {}, marked, band.about);
      }
      targets = [];
      for (const each of [...shown].sort((one, other) => Number(one.strong) - Number(other.strong))) {
        const kind = `${colour(each.family)}${each.strong ? "" : " faint"}`;
        if (each.line) {
          let stretch = [];
          const end = () => {
            if (stretch.length === 0) return;
            const path = stretch.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
            const line = make("polyline", { class: kind, points: path }, inner);
            for (const [at, value] of stretch) {
              if (inside(at)) targets.push({ at, value, x: x(at), y: y(value), shape: line, series: each, about: each.about });
            }
            stretch = [];
          };
          for (const point of each.points) {
            if (point[1] === null) end();
            else stretch.push(point);
          }
          end();
          continue;
        }
        each.points.forEach(([at, value], place) => {
          if (!inside(at) || value === null) return;
          const dot = make("circle", { class: kind, cx: x(at), cy: y(value), r: 4.5 }, inner);
          targets.push({ at, value, x: x(at), y: y(value), shape: dot, series: each, about: each.abouts[place] });
        });
        for (const [at, about] of each.crosses) {
          if (!inside(at)) continue;
          const cross = make("text", { class: `cross ${kind}`, x: x(at), y: 20, "text-anchor": "middle" }, inner, "×");
          targets.push({ at, value: null, x: x(at), y: 15, shape: cross, series: each, about });
        }
      }
      if (shown.length === 0) make("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, fresh, "all families are switched off");
      plot.replaceChildren(fresh, tip);
      tip.hidden = true;
      svg = fresh;
      box = { left, right: width - right, top, bottom: height - bottom, width, height, x };
      listen();
    };

    const place = (event) => {
      const on = svg.getBoundingClientRect();
      return [((event.clientX - on.left) * box.width) / on.width, ((event.clientY - on.top) * box.height) / on.height];
    };
    const nearest = (px, py) => {
      let best = null;
      let least = 40 * 40;
      for (const each of targets) {
        const weight = each.series.strong ? 1 : 1.6; // a strong line wins over a faint one beside it
        const distance = ((each.x - px) ** 2 + (each.y - py) ** 2) * weight;
        if (distance < least) {
          best = each;
          least = distance;
        }
      }
      return best;
    };
    let lit = null;
    const show = (found) => {
      if (lit !== null) lit.classList.remove("near");
      lit = found === null ? null : found.shape;
      tip.hidden = found === null;
      if (found === null) return;
      lit.classList.add("near");
      const title = document.createElement("b");
      title.textContent = found.series.family;
      const value = found.value === null ? "diverged" : `${chart.key === "peaks" ? chart.y_label : state.view} ${figure(found.value)}`;
      const lines = [found.about, `${chart.x_label} ${figure(found.at)}: ${value}`].map((text) => {
        const line = document.createElement("div");
        line.textContent = text;
        return line;
      });
      tip.replaceChildren(title, ...lines);
      const ratio = plot.clientWidth / box.width;
      const room = plot.clientWidth - tip.offsetWidth;
      const beside = found.x * ratio + 14;
      const left = beside <= room ? beside : found.x * ratio - tip.offsetWidth - 14;
      tip.style.left = `${Math.max(0, Math.min(room, left))}px`;
      tip.style.top = `${Math.max(0, found.y * ratio - tip.offsetHeight - 8)}px`;
    };

    const listen = () => {
      let from = null;
      let drag = null;
      svg.addEventListener("pointermove", (event) => {
        const [px, py] = place(event);
        if (from !== null && Math.abs(px - from) > 4) {
          if (drag === null) drag = make("rect", { class: "drag", y: box.top, height: box.bottom - box.top }, svg);
          drag.setAttribute("x", Math.min(from, px));
          drag.setAttribute("width", Math.abs(px - from));
          show(null);
          return;
        }
        show(nearest(px, py));
      });
      svg.addEventListener("pointerdown", (event) => {
        const [px, py] = place(event);
        if (event.pointerType === "mouse" && event.button === 0) {
          from = Math.min(box.right, Math.max(box.left, px));
          svg.setPointerCapture(event.pointerId);
          event.preventDefault();
        } else show(nearest(px, py));
      });
      svg.addEventListener("pointerup", (event) => {
        if (from === null) return;
        const to = Math.min(box.right, Math.max(box.left, place(event)[0]));
        const [low, high] = [Math.min(from, to), Math.max(from, to)];
        from = null;
        if (drag !== null && high - low > 8) {
          state.zoom = [box.x.back(low), box.x.back(high)];
          refresh();
        } else if (drag !== null) {
          drag.remove();
          drag = null;
        }
      });
      svg.addEventListener("pointerleave", () => from === null && show(null));
      svg.addEventListener("dblclick", () => {
        state.zoom = null;
        refresh();
      });
    };

    const refresh = () => {
      tools.replaceChildren();
      if (chart.views.length > 1) {
        for (const view of chart.views) {
          button(view, view === state.view, tools, () => {
            state.view = view;
            state.zoom = null;
            refresh();
          });
        }
      }
      button("log scale", state.yLog, tools, () => {
        state.yLog = !state.yLog;
        refresh();
      });
      if (state.zoom !== null) {
        button("whole range", false, tools, () => {
          state.zoom = null;
          refresh();
        });
      }
      render();
    };
    refresh();
    redraws.push(render);
    let width = plot.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(plot.clientWidth - width) < 2) return;
      width = plot.clientWidth;
      render();
    }).observe(plot);
  };

  for (const each of document.querySelectorAll(".legend button")) {
    each.addEventListener("click", () => {
      const family = each.dataset.family;
      if (off.has(family)) off.delete(family);
      else off.add(family);
      each.setAttribute("aria-pressed", String(!off.has(family)));
      for (const redraw of redraws) redraw();
    });
  }
  for (const chart of data.charts) {
    const host = document.querySelector(`[data-chart="${chart.key}"]`);
    if (host !== null) draw(host, chart);
  }
})();
