// Draws the table marked data-chart as bars; the table stays for those who read it, and each bar opens its row's link.

const table = document.querySelector("table[data-chart]");
const place = document.querySelector("[data-chart-place]");

if (table && place && window.echarts) {
  const rows = [...table.tBodies[0].rows].map((row) => ({
    name: row.cells[0].textContent.trim(),
    value: Number(row.cells[1].dataset.value),
    href: row.querySelector("a")?.getAttribute("href"),
  }));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  place.hidden = false;
  const chart = window.echarts.init(place, null, { renderer: "canvas" });

  const draw = () => {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    chart.setOption({
      animation: !still,
      grid: { left: 8, right: 12, top: 12, bottom: 4, containLabel: true },
      tooltip: { trigger: "axis", renderMode: "richText", axisPointer: { type: "shadow" } },
      xAxis: {
        type: "category",
        data: rows.map((row) => row.name),
        axisLine: { lineStyle: { color: colour("--line-strong") } },
        axisLabel: { color: colour("--muted"), fontSize: 11, hideOverlap: true, formatter: (day) => day.slice(5) },
        axisTick: { show: false },
      },
      yAxis: {
        type: "value",
        minInterval: 1,
        splitLine: { lineStyle: { color: colour("--line") } },
        axisLabel: { color: colour("--muted"), fontSize: 11 },
      },
      series: [{
        type: "bar",
        name: table.dataset.chart,
        data: rows.map((row) => row.value),
        itemStyle: { color: colour("--accent") },
        barMaxWidth: 22,
        cursor: "pointer",
      }],
    });
  };

  draw();
  dark.addEventListener("change", draw);
  chart.on("click", (bar) => {
    const href = rows[bar.dataIndex]?.href;
    if (href) window.location.assign(href);
  });
  new ResizeObserver(() => chart.resize()).observe(place);
}
