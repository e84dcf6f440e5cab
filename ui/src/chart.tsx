// Counts over time, stacked. Drag or click to zoom; by keyboard the arrows move over the bars and Enter zooms.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { duration, iso, stamp, ticks, zoneName } from "./time";
import { type Bars } from "./bars";
import { count, plural, short } from "./parts";

interface Props extends Bars {
  local: boolean;
  loaded: [oldest: number, newest: number] | null; // what the list below shows
  onZoom: (from: string, to: string) => void;
}

const HEIGHT = 84;

function useWidth() {
  const ref = useRef<HTMLDivElement>(null),
    [width, setWidth] = useState(800);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([e]) => setWidth(Math.max(100, Math.floor(e!.contentRect.width))));
    watch.observe(ref.current!);
    return () => watch.disconnect();
  }, []);
  return [ref, width] as const;
}

export function Chart({ bars, widthMs, local, loaded, unit, onZoom }: Props) {
  const [ref, width] = useWidth();
  const [hover, setHover] = useState(-1);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const n = bars.length,
    begin = bars[0]?.at ?? 0,
    end = begin + n * widthMs;
  useEffect(() => {
    setHover(-1);
    setDrag(null);
  }, [begin, end]);
  if (!n) return <div class="chart" ref={ref} />;
  const most = Math.max(1, ...bars.map(b => b.total)),
    step = width / n;
  const x = (t: number) => Math.min(width, Math.max(0, ((t - begin) / (end - begin)) * width));
  const indexAt = (e: PointerEvent) => {
    const box = ref.current!.getBoundingClientRect();
    return Math.min(n - 1, Math.max(0, Math.floor(((e.clientX - box.left) / box.width) * n)));
  };
  const zoom = (a: number, b: number) =>
    onZoom(iso(begin + Math.min(a, b) * widthMs), iso(begin + (Math.max(a, b) + 1) * widthMs));
  const key = (e: KeyboardEvent) => {
    if (e.key === "ArrowLeft" || e.key === "ArrowRight") {
      const from = hover < 0 ? n : hover;
      setHover(Math.min(n - 1, Math.max(0, from + (e.key === "ArrowLeft" ? -1 : hover < 0 ? 0 : 1))));
      e.preventDefault();
    } else if (e.key === "Enter" && hover >= 0) zoom(hover, hover);
  };
  const bar = hover >= 0 ? bars[hover] : undefined;
  const total = bars.reduce((sum, b) => sum + b.total, 0);
  return (
    <div
      class="chart"
      ref={ref}
      tabIndex={0}
      role="img"
      onKeyDown={key}
      onBlur={() => setHover(-1)}
      aria-label={
        bar
          ? `${stamp(bar.at, local)}: ${plural(bar.total, unit)}; Enter zooms`
          : `${plural(total, unit)} over time, at most ${count(most)} in ${duration(widthMs)}; arrow keys move, Enter zooms`
      }
    >
      <svg
        width={width}
        height={HEIGHT}
        onPointerLeave={() => setHover(-1)}
        onPointerDown={e => {
          if (e.button === 0) {
            e.currentTarget.setPointerCapture(e.pointerId);
            setDrag([indexAt(e), indexAt(e)]);
          }
        }}
        onPointerMove={e => {
          setHover(indexAt(e));
          if (drag) setDrag([drag[0], indexAt(e)]);
        }}
        onPointerCancel={() => setDrag(null)}
        onPointerUp={() => {
          if (drag) zoom(...drag);
          setDrag(null);
        }}
      >
        <line class="grid" x1={0} x2={width} y1={0.5} y2={0.5} />
        <line class="grid" x1={0} x2={width} y1={HEIGHT / 2} y2={HEIGHT / 2} />
        {hover >= 0 && <rect class="hover" x={hover * step} width={step} y={0} height={HEIGHT} />}
        {bars.map((b, i) => {
          let y = HEIGHT;
          const gap = step > 4 ? 1 : step > 2 ? 0.5 : 0,
            least = b.total ? Math.max(2, (b.total / most) * (HEIGHT - 4)) : 0;
          return b.parts.map(p => {
            const h = b.total ? (p.count / b.total) * least : 0;
            y -= h;
            return (
              h > 0 && (
                <rect
                  key={p.name}
                  class={`bar ${p.kind}`}
                  x={i * step + gap / 2}
                  width={step - gap}
                  y={y}
                  height={h}
                />
              )
            );
          });
        })}
        {drag && (
          <rect
            class="drag"
            x={Math.min(...drag) * step}
            y={0}
            height={HEIGHT}
            width={(Math.abs(drag[1] - drag[0]) + 1) * step}
          />
        )}
        {loaded && (
          <line
            class="loaded"
            x1={x(loaded[0])}
            x2={Math.max(x(loaded[1]), x(loaded[0]) + 2)}
            y1={HEIGHT - 1}
            y2={HEIGHT - 1}
          />
        )}
      </svg>
      {total > 0 && <span class="most">{short(most)}</span>}
      <div class="axis">
        {ticks(begin, end, Math.max(2, Math.floor(width / 90)), local).map(t => {
          const at = x(t.at);
          return (
            at > 18 &&
            at < width - 125 && (
              <span key={t.at} style={{ left: at + "px" }}>
                {t.label}
              </span>
            )
          );
        })}
        <span class="zone">
          {duration(widthMs)} a bar · {zoneName(local)}
        </span>
      </div>
      {bar && (
        <div
          class="tip"
          ref={e => {
            if (e)
              e.style.left =
                Math.min(width - e.offsetWidth, Math.max(0, (hover + 0.5) * step - e.offsetWidth / 2)) + "px";
          }}
        >
          <b>{stamp(bar.at, local)}</b> <span class="dim">+{duration(widthMs)}</span> · {count(bar.total)}
          {bar.parts.length > 1 &&
            bar.parts
              .filter(p => p.count)
              .map(p => (
                <span key={p.name} class="part">
                  <i class={`dot ${p.kind}`} />
                  {p.name || "none"} {count(p.count)}
                </span>
              ))}
        </div>
      )}
    </div>
  );
}
