// Draws a committed board with Grafana's own components over a live Prometheus, without a Grafana server.
// Heatmaps are not on npm: they are drawn here. Parameters: board, from, to (seconds), window (of a rate).
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { BigValue, GlobalStyles, PanelChrome, PortalContainer, Table, TimeSeries } from '@grafana/ui';
import {
  applyFieldOverrides, createTheme, dateTime, getDisplayProcessor, standardFieldConfigEditorRegistry,
  ThemeContext,
} from '@grafana/data';
import { Heatmap } from './heatmap.jsx';
import { frameOfSpans, frameOfTable, framesOf, queried } from './data.js';

const files = import.meta.glob('../../dashboards/*.json', { eager: true, import: 'default' });
const boards = Object.fromEntries(Object.values(files).map((board) => [board.uid, board]));
const asked = new URLSearchParams(location.search);
const board = boards[asked.get('board')];
const range = { from: Number(asked.get('from')), to: Number(asked.get('to')), window: asked.get('window') };
const theme = createTheme({ colors: { mode: 'dark' } });
const WIDTH = 1600, LINE = 30, GAP = 8;
const CUSTOM = {
  drawStyle: 'line', lineInterpolation: 'linear', axisPlacement: 'auto', hideFrom: {},
  scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' }, thresholdsStyle: { mode: 'off' },
};
const EDITED = ['displayName', 'unit', 'min', 'max', 'decimals', 'thresholds', 'mappings', 'noValue', 'links', 'color',
  'filterable', ...['cellOptions', 'width', 'fillOpacity', 'lineWidth', 'showPoints', 'spanNulls', ...Object.keys(CUSTOM)]
    .map((name) => `custom.${name}`)];

window.failures = [];
window.waiting = 0;
window.onerror = (message) => window.failures.push(String(message));
standardFieldConfigEditorRegistry.setInit(() => EDITED.map((path) => ({
  id: path, path: path.replace('custom.', ''), isCustom: path.startsWith('custom.'), name: path, editor: () => null,
  override: () => null, process: (value) => value, shouldApply: () => true, settings: {},
})));

// Those that the gateway has kept and sent on: there is no Tempo to ask.
const spans = async () => (await fetch('/spans.json')).json();

function configured(frames, panel) {
  const { defaults, overrides } = panel.fieldConfig;
  const color = defaults.color ?? { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  const links = undefined; // nothing to click on in a picture
  const fieldConfig = { defaults: { ...defaults, links, color, custom: { ...CUSTOM, ...defaults.custom } }, overrides };
  return applyFieldOverrides({ data: frames, fieldConfig, theme, replaceVariables: (text) => text, timeZone: 'utc' });
}

function Content({ panel, answers, width, height }) {
  const empty = <div style={{ color: '#999', padding: 16 }}>{panel.fieldConfig.defaults.noValue}</div>;
  if (answers.every((answer) => answer.length === 0)) return empty;
  if (panel.type === 'heatmap') return <Heatmap series={answers[0]} range={range} width={width} height={height} />;
  if (panel.type === 'table') {
    const table = panel.targets[0].query ? frameOfSpans(panel, answers[0]) : frameOfTable(panel, answers);
    const [frame] = configured([table], panel);
    return <Table data={frame} width={width} height={height} />;
  }
  const frames = configured(answers.flatMap((answer, at) => framesOf(panel.targets[at], answer)), panel);
  if (panel.type === 'stat') {
    const field = frames[0].fields[1];
    const value = (field.display ?? getDisplayProcessor({ field, theme }))(field.values.at(-1));
    const sparkline = panel.options.graphMode === 'area' ? { y: field, x: frames[0].fields[0] } : undefined;
    return <BigValue width={width} height={height} theme={theme} value={value} sparkline={sparkline}
      colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} justifyMode="auto" textMode="value" />;
  }
  const [from, to] = [dateTime(range.from * 1000), dateTime(range.to * 1000)];
  return <TimeSeries frames={frames} width={width} height={height} timeZone="utc" structureRev={1}
    timeRange={{ from, to, raw: { from, to } }}
    legend={{ displayMode: 'list', placement: 'bottom', calcs: [], showLegend: true, isVisible: true }} />;
}

function Panel({ panel }) {
  const [answers, setAnswers] = useState();
  const { x, y, w, h } = panel.gridPos;
  const column = WIDTH / 24;
  const width = w * column - GAP, height = h * (LINE + GAP) - GAP;
  const style = { position: 'absolute', left: x * column + GAP / 2, top: y * (LINE + GAP), width, height };
  useEffect(() => {
    if (panel.type === 'row') return;
    window.waiting += 1;
    Promise.all(panel.targets.map((target) => (target.query ? spans() : queried(target, range))))
      .then(setAnswers, (failure) => window.failures.push(`${panel.title}: ${failure}`))
      .finally(() => { window.waiting -= 1; });
  }, []);
  if (panel.type === 'row') {
    return <div style={{ ...style, color: theme.colors.text.primary, font: '500 16px Inter, sans-serif' }}>{panel.title}</div>;
  }
  return <div style={style}><PanelChrome title={panel.title} width={width} height={height}>
    {(innerWidth, innerHeight) => answers &&
      <Content panel={panel} answers={answers} width={innerWidth} height={innerHeight} />}
  </PanelChrome></div>;
}

const isSearched = board.panels.some((panel) => panel.targets?.some(({ query }) => query));
const searched = isSearched && ', over the spans that the collector sent on, without a Tempo';

function Board() {
  const lines = Math.max(...board.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const height = 40 + lines * (LINE + GAP);
  return <ThemeContext.Provider value={theme}><GlobalStyles />
    <div id="board" style={{ width: WIDTH, height, background: theme.colors.background.canvas, position: 'relative' }}>
      <div style={{ padding: 8, color: theme.colors.text.secondary, font: '14px Inter, sans-serif' }}>
        {board.title} · drawn with Grafana&apos;s own components, without a Grafana server{searched}</div>
      <div style={{ position: 'absolute', top: 40, left: 0 }}>
        {board.panels.map((panel) => <Panel key={panel.id} panel={panel} />)}</div>
    </div><PortalContainer /></ThemeContext.Provider>;
}

createRoot(document.getElementById('root')).render(<Board />);
