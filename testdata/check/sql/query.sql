-- Large sales.
SELECT * FROM trades WHERE side = 'sell' AND size >= 1000;
