// What the dashboards may hold, from Grafana's own types. Two things make them strict enough for JSON: `Plain`
// lets enums be written as their values, as JSON does, and each panel type has its own options and field settings.
import type { AnnotationQuery, Dashboard, DataQuery, Panel, RowPanel, VariableModel } from "@grafana/schema";
import type * as bargauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as timeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

export type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

// The Prometheus data source's query; Grafana publishes no types of it in this package.
export interface PrometheusQuery extends DataQuery {
  expr: string;
  editorMode?: "code" | "builder";
  exemplar?: boolean;
  format?: "time_series" | "table" | "heatmap";
  instant?: boolean;
  interval?: string;
  legendFormat?: string;
  range?: boolean;
}

type Settings<Custom> = Omit<NonNullable<Panel["fieldConfig"]>, "defaults"> & {
  defaults: Omit<NonNullable<Panel["fieldConfig"]>["defaults"], "custom"> & { custom: Custom };
};

type Of<Type extends string, Options, Custom> = Plain<
  Omit<Panel, "type" | "options" | "targets" | "fieldConfig"> & {
    type: Type;
    options: Options;
    targets: PrometheusQuery[];
    fieldConfig: Settings<Custom>;
  }
>;

type Nothing = Record<string, never>;

export interface Panels {
  row: Plain<RowPanel>;
  stat: Of<"stat", stat.Options, Nothing>;
  bargauge: Of<"bargauge", bargauge.Options, Nothing>;
  timeseries: Of<"timeseries", timeseries.Options, timeseries.FieldConfig>;
  heatmap: Of<"heatmap", heatmap.Options, heatmap.FieldConfig>;
  "state-timeline": Of<"state-timeline", timeline.Options, timeline.FieldConfig>;
  table: Of<"table", table.Options, table.FieldConfig>;
}

// How the Prometheus data source reads what it finds; it keeps these beside the query.
export type Annotation = Plain<
  AnnotationQuery<PrometheusQuery> & {
    tagKeys?: string;
    textFormat?: string;
    titleFormat?: string;
    useValueForTime?: boolean;
  }
>;

export type Variable = Plain<VariableModel>;
export type Board = Plain<Omit<Dashboard, "panels" | "annotations" | "templating">> & {
  panels: Panels[keyof Panels][];
  annotations: { list: Annotation[] };
  templating: { list: Variable[] };
};
