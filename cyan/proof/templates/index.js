(() => {
  "use strict";
  cyan.figures.trend.forEach((figure, number) => cyan.draw(`trend-${number}`, figure));
  document.body.dataset.drawn = "yes";
})();
