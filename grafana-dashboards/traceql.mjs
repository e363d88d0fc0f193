// Searches a list of spans by TraceQL, as far as ours goes: one filter, and `select` for the columns.
// The syntax is read by the parser of Grafana's own editor, which the caller gives; what it means is said here, as Tempo's
// documentation says it: https://grafana.com/docs/tempo/latest/traceql/construct-traceql-queries/
//
// A span: {traceId, spanId, name, start, duration, resource, attributes, isRoot}; times in milliseconds.

// Gives the names of the columns, and whether a span is found. Throws SyntaxError.
export function search(parser, query) {
  const tree = parser.parse(query);
  const nodes = [];
  tree.iterate({
    enter: ({ node, type }) => {
      if (type.isError) throw new SyntaxError(`cannot be read from char ${node.from} on: ${query}`);
      nodes.push(node);
    },
  });
  const text = (node) => query.slice(node.from, node.to);
  const [filter, ...others] = nodes.filter(({ name }) => name === 'SpansetFilter');
  if (!filter || others.length) throw new SyntaxError(`not one filter: ${query}`);
  const selected = nodes.find(({ name }) => name === 'SelectOperation');
  const columns = selected ? nodes.filter((node) => node.name === 'AttributeField' && node.from > selected.from) : [];
  const condition = filter.getChild('FieldExpression');
  return {
    columns: columns.map((node) => text(node).replace(/^\w+\./, '')),
    meets: (span) => condition === null || meets(condition, text, span),
  };
}

function meets(node, text, span) {
  const [left, operator, right] = childrenOf(node);
  if (operator === undefined) return meets(left, text, span);
  if (text(operator) === '&&') return meets(left, text, span) && meets(right, text, span);
  if (text(operator) === '||') return meets(left, text, span) || meets(right, text, span);
  const [found, wanted] = [valueOf(text(left), span), valueOf(text(right), span)];
  return found !== undefined && COMPARED[text(operator)](found, wanted); // nothing is told of what is not there
}

const COMPARED = {
  '=': (found, wanted) => found === wanted,
  '!=': (found, wanted) => found !== wanted,
  '>=': (found, wanted) => found >= wanted,
  '=~': (found, wanted) => new RegExp(`^(?:${wanted})$`).test(found),
};

function valueOf(text, span) {
  const [, scope, name] = text.match(/^(span|resource)\.(.+)$/) ?? [];
  return scope ? (scope === 'span' ? span.attributes : span.resource)[name] : JSON.parse(text);
}

function childrenOf(node) {
  const children = [];
  for (let child = node.firstChild; child; child = child.nextSibling) children.push(child);
  return children;
}
