/** Untyped: uPlot's own types are written for CommonJS. */
declare const uPlot: any;
export default uPlot;
