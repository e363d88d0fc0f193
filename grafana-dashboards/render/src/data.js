// Queries, and their answers as Grafana's data frames.
import { FieldType, toDataFrame } from '@grafana/data';

const STEPS = 150;

export async function queried(target, { from, to, window }) {
  const expression = target.expr
    .replaceAll('$__rate_interval', window)
    .replaceAll('$__range', `${Math.round(to - from)}s`)
    .replaceAll(/\$(job|model)/g, '.*');
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
  return series.filter(({ values }) => values.some(([, value]) => value !== 'NaN')).map(({ metric, values }) => {
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
