/* The search takes each word for the beginning of one: "a" finds everything. So the small words of a
   question, and the marks behind words, are left out before it is asked. tests/test_site.py reads
   the words from here. */
(() => {
  const SMALL = new Set(
    ("a an and any are as at be by can did do does for from get has have how i if in into is it its " +
      "me my no not of on one or so that the their them then there these they this to use was what " +
      "when where which who whom why will with you your").split(" "),
  );
  const QUERY = 2; // The kind of message that asks the worker.
  const meant = (question) => {
    const words = question
      .split(/\s+/)
      .map((word) => word.replace(/[?!.,;:…]+$/, ""))
      .filter((word) => word && !SMALL.has(word.toLowerCase()));
    return words.length > 0 ? words.join(" ") : question;
  };
  const Former = window.Worker;
  window.Worker = class extends Former {
    postMessage(message, ...rest) {
      const asks = message?.type === QUERY && typeof message.data === "string";
      super.postMessage(asks ? { ...message, data: meant(message.data) } : message, ...rest);
    }
  };
})();
