import * as Plot from '@observablehq/plot';
import type { Html } from '../html.js';
import { timeTick } from './axes.js';
import { draw, labelWidth, shorten } from './draw.js';

/** A period, or an instant if both times are equal. */
export interface TimelineEvent {
  readonly lane: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly color: 'series-1' | 'series-2' | 'series-3' | 'pass' | 'warn' | 'fail';
}

/** Draws a lane for each kind of event, over time. */
export function timelineChart(label: string, events: readonly TimelineEvent[]): Html {
  const lanes = [...new Set(events.map(({ lane }) => lane))];
  const data = events.map((event) => ({
    id: String(lanes.indexOf(event.lane)),
    start: new Date(event.startMs),
    end: new Date(event.endMs),
    color: `var(--${event.color})`,
  }));
  const [minMs, maxMs] = [
    Math.min(...events.map(({ startMs }) => startMs)),
    Math.max(...events.map(({ endMs }) => endMs)),
  ];
  const marginMs = Math.max((maxMs - minMs) * 0.03, 500);
  return draw(label, (format) => {
    const { width, isNarrow } = format;
    const names = lanes.map((lane) => shorten(lane, isNarrow ? 18 : 36));
    return {
      height: lanes.length * 30 + 54,
      marginTop: 6,
      marginLeft: labelWidth(names, format),
      marginRight: 44,
      marginBottom: 44,
      x: { type: 'utc', domain: [new Date(minMs - marginMs), new Date(maxMs + marginMs)], label: null },
      y: { type: 'band', domain: lanes.map((_, i) => String(i)), label: null },
      marks: [
        Plot.axisX({
          ticks: isNarrow ? 2 : Math.floor(width / 140),
          tickFormat: timeTick(maxMs - minMs + 2 * marginMs),
          label: null,
        }),
        Plot.axisY({ tickSize: 0, tickFormat: (_: unknown, i: number) => names[i] ?? '', label: null }),
        Plot.gridY(lanes.map((_, i) => String(i))),
        Plot.ruleY(data, {
          y: 'id',
          x1: 'start',
          x2: 'end',
          stroke: 'color',
          strokeWidth: 8,
          strokeOpacity: 0.45,
          strokeLinecap: 'round',
        }),
        Plot.dot(data, { y: 'id', x: 'start', fill: 'color', r: 4.5 }),
      ],
      color: { type: 'identity' },
    };
  });
}
