// Queries, and their answers as Grafana's data frames.
import { FieldType, toDataFrame } from '@grafana/data';
import { parser } from '@grafana/lezer-traceql';
import { search } from '../../traceql.mjs';

const STEPS = 150;

export async function queried(target, { from, to, window }) {
  const expression = target.expr
    .replaceAll('$__rate_interval', window)
    .replaceAll('$__range', `${Math.round(to - from)}s`)
    .replaceAll(/\$(job|provider|model)/g, '.*');
  const [path, time] = target.instant
    ? ['query', { time: to }]
    : ['query_range', { start: from, end: to, step: (to - from) / STEPS }];
  const answer = await fetch(`/api/v1/${path}?${new URLSearchParams({ query: expression, ...time })}`);
  const { status, data, error } = await answer.json();
  if (status !== 'success') throw new Error(error);
  return data.result;
}

export function legendOf(target, labels) {
  return target.legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? '');
}

export function framesOf(target, series) {
  const lines = series.map(({ metric, value, values = [value] }) => ({ metric, values })); // one point if it is instant
  return lines.filter(({ values }) => values.some(([, value]) => value !== 'NaN')).map(({ metric, values }) => {
    const name = legendOf(target, metric);
    return toDataFrame({
      name,
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: values.map(([time]) => time * 1000) },
        {
          name: 'Value', type: FieldType.number, config: { displayNameFromDS: name },
          values: values.map(([, value]) => (value === 'NaN' ? null : Number(value))),
        },
      ],
    });
  });
}

// What the transformations `merge` and `organize` make of instant answers: a row for each set of labels.
export function frameOfTable(panel, answers) {
  const renamed = panel.transformations.find(({ id }) => id === 'organize').options.renameByName;
  const rows = new Map();
  answers.forEach((answer, at) => answer.forEach(({ metric, value }) => {
    const key = JSON.stringify(metric);
    if (!rows.has(key)) rows.set(key, { ...metric });
    rows.get(key)[`Value #${panel.targets[at].refId}`] = value[1] === 'NaN' ? null : Number(value[1]);
  }));
  const isNumber = ([from]) => from.startsWith('Value #');
  const columns = Object.entries(renamed).sort((one, other) => isNumber(one) - isNumber(other)); // labels come first
  const fields = columns.map(([from, title]) => ({
    name: title,
    type: from.startsWith('Value #') ? FieldType.number : FieldType.string,
    values: [...rows.values()].map((row) => row[from] ?? null),
  }));
  return toDataFrame({ fields });
}

// What Grafana makes of Tempo's answer where the table is one of spans, and `organize` of that; the newest first.
export function frameOfSpans(panel, spans) {
  const [target] = panel.targets;
  const { columns, meets } = search(parser, target.query.replaceAll(/\$\{(service|provider|model):pipe\}/g, '.*'));
  const found = spans.filter(meets).sort((one, other) => other.start - one.start).slice(0, target.limit);
  const roots = new Map(spans.filter(({ isRoot }) => isRoot).map((span) => [span.traceId, span.name]));
  const known = {
    'Span ID': ({ spanId }) => spanId, 'Start time': ({ start }) => start, Name: ({ name }) => name,
    'Trace Service': ({ resource }) => resource['service.name'], 'Trace Name': ({ traceId }) => roots.get(traceId),
    Duration: ({ duration }) => duration,
    ...Object.fromEntries(columns.map((column) => [column, ({ attributes }) => attributes[column]])),
  };
  const units = { 'Start time': 'dateTimeAsIso', Duration: 'ms' };
  const { excludeByName, indexByName, renameByName } =
    panel.transformations.find(({ id }) => id === 'organize').options;
  const names = Object.keys(known).filter((name) => !excludeByName[name]);
  names.sort((one, other) => indexByName[one] - indexByName[other]);
  return toDataFrame({
    fields: names.map((name) => {
      const values = found.map(known[name]);
      const isNumber = values.some((value) => typeof value === 'number');
      const type = name === 'Start time' ? FieldType.time : isNumber ? FieldType.number : FieldType.string;
      return { name: renameByName[name] ?? name, type, values, config: units[name] ? { unit: units[name] } : {} };
    }),
  });
}
