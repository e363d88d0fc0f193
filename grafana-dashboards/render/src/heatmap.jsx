// A heatmap of a histogram's buckets: Grafana's own is not on npm.
const LEFT = 48, BOTTOM = 20;

export function Heatmap({ series, range, width, height }) {
  const sorted = series.map(({ metric, values }) => ({ bound: Number(metric.le.replace('+Inf', 'Infinity')), values }))
    .sort((one, other) => one.bound - other.bound);
  const counts = sorted.map(({ values }, at) => new Map(values.map(([time, value], index) =>
    [time, Math.max(0, Number(value) - (at ? Number(sorted[at - 1].values[index]?.[1] ?? 0) : 0))])));
  const times = sorted[0].values.map(([time]) => time);
  const most = Math.max(1e-9, ...counts.flatMap((of) => [...of.values()]));
  const cell = { width: (width - LEFT) / times.length, height: (height - BOTTOM) / sorted.length };
  const labelled = Math.max(1, Math.ceil(14 / cell.height));
  const clock = (time) => new Date(time * 1000).toISOString().slice(11, 19);
  return <svg width={width} height={height} style={{ font: '11px Inter, sans-serif' }}>
    {counts.flatMap((of, row) => times.filter((time) => of.get(time) > most * 1e-6).map((time) =>
      <rect key={`${row} ${time}`} x={LEFT + times.indexOf(time) * cell.width} width={Math.max(1, cell.width - 0.5)}
        y={height - BOTTOM - (row + 1) * cell.height} height={Math.max(1, cell.height - 1)}
        fill="#ff9830" opacity={0.15 + 0.85 * Math.sqrt(of.get(time) / most)} />))}
    {sorted.filter((_, row) => row % labelled === 0).map(({ bound }, index) =>
      <text key={bound} x={LEFT - 6} textAnchor="end" fill="#999"
        y={height - BOTTOM - (index * labelled + 0.3) * cell.height}>{Number.isFinite(bound) ? `${+bound.toPrecision(3)} s` : '∞'}</text>)}
    <text x={LEFT} y={height - 4} fill="#999">{clock(range.from)}</text>
    <text x={width} y={height - 4} fill="#999" textAnchor="end">{clock(range.to)}</text>
  </svg>;
}
