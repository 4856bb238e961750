select a @>/* ; */ b;select a<->--;
b;